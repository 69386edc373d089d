"""Is the scorer any good on this dataset? `controls` gives figures, `verdict` judges, `page` shows them."""
