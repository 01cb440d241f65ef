"""Text for people: made harmless, measured in columns, figures with units."""
