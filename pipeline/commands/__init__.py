"""One module a command; `pipeline.cli` imports a module when its command is called."""
