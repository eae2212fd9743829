"""gRPC: between requests and handlers. What a request may hold is checked here; what becomes of it, in domain/."""
