"""Internal against surface: do hidden states tell more of a question than what it looks like?"""
