"""The studies, one package or file each. They stand on everything else, and never on each other."""
