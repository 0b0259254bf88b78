"""A finished run as one offline HTML page: ``gather.py`` collects, ``page.py`` draws and writes."""
