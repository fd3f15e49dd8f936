"""Where samples come from: files and datasets of the user's, or the data that ships with the package."""
