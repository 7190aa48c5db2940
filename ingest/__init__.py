"""PubMed records in, citations and sentences out: E-utilities, files of PubMed XML, the sentence splitter."""
