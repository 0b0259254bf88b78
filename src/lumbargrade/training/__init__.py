"""The fit loop and the run folder; knows neither stage."""
