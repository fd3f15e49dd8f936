"""A folder of runs in a browser: the index, the pages as they lie on disk, and every row of every store. Reads only."""
