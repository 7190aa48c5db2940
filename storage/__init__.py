"""The only place with SQL: schema, writers, ledgers, co-occurrence, analyst views and the embedded servers."""
