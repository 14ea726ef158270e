"""What starts the services and the commands: options, start-up, the two mains."""
