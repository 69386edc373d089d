"""Pure: how scores become progress (`calibrations`), and how good scores and progress are (`merit`)."""
