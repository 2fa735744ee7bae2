"""What watches a run from outside the flow of records: its owner, its accounting."""
