"""What stands in a pane: header, conversation, search, wrapped lines."""
