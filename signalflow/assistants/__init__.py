"""What assistants may ask: a server of the Model Context Protocol, which reads from the API."""
