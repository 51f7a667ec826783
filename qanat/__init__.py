"""The command line and the process launcher: how a person starts and looks after a network."""
