"""The command line of `r2mrf`: add an option, a command or an exit status here."""
