"""The LeRobot policy folder (`folder`), its model card, and the proof that LeRobot alone acts the same."""
