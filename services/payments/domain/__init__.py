"""The rules of payments, pure: values in, values out; time and settings arrive as arguments."""
