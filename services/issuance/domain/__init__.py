"""The rules of the issuance service, pure: values in, values out; time and settings arrive as arguments."""
