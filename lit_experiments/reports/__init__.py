"""Tables, figures, and pages in Markdown and HTML, from results that somebody else computed."""
