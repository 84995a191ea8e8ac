"""scikit-learn estimator: the recipe `light-cnn` as a classifier."""
