const HtmlWebpackPlugin = require('html-webpack-plugin');

module.exports = {
  mode: 'development',
  entry: './src/index.js',
  plugins: [new HtmlWebpackPlugin({ title: 'Hot Module Replacement', favicon: './src/icon.svg' })],
};
