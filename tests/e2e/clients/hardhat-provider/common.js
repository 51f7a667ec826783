// Hardhat's base of errors.
exports.CustomError = class CustomError extends Error {};
exports.NomicLabsHardhatPluginError = class NomicLabsHardhatPluginError extends Error {
  constructor(pluginName, message) {
    super(message);
    this.pluginName = pluginName;
  }
};
