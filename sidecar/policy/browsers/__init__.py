"""What browsers make of a rule: who can tell, what a trial adds, what reports and pages say."""
