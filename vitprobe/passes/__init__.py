"""One way through the images for any number of analyses: read, forward, add up."""
