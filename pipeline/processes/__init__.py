"""How processes are kept: started, watched, replaced, ended; and all of them on one machine."""
