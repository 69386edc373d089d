"""Is a policy folder fit for a robot? What is looked at, and what was found."""
