"""digits_mlp: one hidden layer of 64."""

import digits
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def train():
    x_train, y_train, _, _ = digits.load()
    model = make_pipeline(StandardScaler(), MLPClassifier((64,), alpha=0.01, max_iter=400, random_state=digits.SEED))
    model.fit(x_train, y_train)
    return digits.save_sklearn(model, "digits_mlp", "1", "model.onnx")


if __name__ == "__main__":
    print(f"digits_mlp {digits.accuracy(train()):.4f}")
