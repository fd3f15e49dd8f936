"""Where in the model does each quantity become readable?"""
