"""What all our documents share: templates and pictures of HTML pages, marked parts of Markdown files."""
