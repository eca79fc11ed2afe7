"""What pages compute: from settings to a result, measurements. Nothing is drawn."""
