/** The MLflow that tests and acceptances run, with its basic-auth app; as pip wants it. XGBoost logs models into it. */
export const MLFLOW: readonly string[] = ["mlflow[auth]==3.17.2", "xgboost-cpu==3.1.3"];
