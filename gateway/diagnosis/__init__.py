"""What is wrong with a set-up: each thing that can be is looked at once, and explained."""
