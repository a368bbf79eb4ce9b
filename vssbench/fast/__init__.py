"""The fast form of networks for inference, equal in their outputs."""
