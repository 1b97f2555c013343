"""digits_linear: logistic regression on the pixels."""

import digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def train():
    x_train, y_train, _, _ = digits.load()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000, random_state=digits.SEED))
    model.fit(x_train, y_train)
    return digits.save_sklearn(model, "digits_linear.onnx")


if __name__ == "__main__":
    print(f"digits_linear {digits.accuracy(train()):.4f}")
