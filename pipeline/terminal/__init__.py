"""What the terminal takes and shows, the same for every command: options, progress, tables, files of results."""
