"""The estimator: the network behind scikit-learn's interface."""
