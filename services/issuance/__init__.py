"""The issuance service: makes cards while their holders wait, and knows where every blank is."""
