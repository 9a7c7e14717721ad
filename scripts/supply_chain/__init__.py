"""What Backstream is made of: locked requirements, verified wheels, audit and bill of materials."""
