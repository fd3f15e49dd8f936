"""Collection: samples in, committed rows out, on any number of devices, interrupted and resumed at will."""
