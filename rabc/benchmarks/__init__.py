"""What `rabc benchmark` measures: each module gives lines with a measured and a required figure."""
