"""What an answer is scored on, a file a metric listed once in the catalog; intervals of what was counted; drift."""
