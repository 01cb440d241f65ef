"""Between Textual and the terminal: driver, writer, pictures of the screen."""
