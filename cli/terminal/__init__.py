"""`onecard window` as an application in the terminal: for clerks at a window, and for residents at a kiosk."""
