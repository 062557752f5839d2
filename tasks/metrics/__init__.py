"""What an answer is measured by: its form, its marks, the intervals of what was counted, and drift of what is asked."""
