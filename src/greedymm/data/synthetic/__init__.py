"""What is generated: CAD objects and hand gestures."""
