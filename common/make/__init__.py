"""The rules of every Makefile and the setting up of the environment. No Python is imported from here."""
