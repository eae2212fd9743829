"""The rules of the card service, pure: values in, values out; time and settings arrive as arguments."""
