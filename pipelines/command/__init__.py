"""The words of the command `r2mrf`: add an option, a command or an exit status here."""
